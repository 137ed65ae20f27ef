"""WebDataset shards: listing, index, cache, shuffling, remote stores, writing."""
