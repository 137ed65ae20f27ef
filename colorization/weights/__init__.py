"""Files of weights: of classifiers that others trained, and read without running code from them."""
