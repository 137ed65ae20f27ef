"""Files of weights: pretrained classifiers, and reading files safely, without running code from them."""
