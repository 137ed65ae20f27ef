"""Terms of a loss: what is wrong with predicted colours. One file each."""
