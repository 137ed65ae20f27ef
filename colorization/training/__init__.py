"""Training: the LightningModule, and everything that happens around it."""
