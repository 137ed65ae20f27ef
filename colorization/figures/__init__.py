"""Pictures for people: panels of predictions, charts of colours."""
