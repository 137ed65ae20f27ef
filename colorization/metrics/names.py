"""Names of metrics, without PyTorch."""

# Names as in options, logs, files and tables, in the order of tables. Colourfulness is best near the truth's.
METRICS = (
    "psnr",
    "ssim",
    "ciede2000",
    "lpips",
    "lpips_vgg",
    "dists",
    "msswd",
    "fid",
    "auc",
    "auc_rebalanced",
    "colorfulness",
    "colorfulness_difference",
    "colorfulness_mean_difference",
    "colorfulness_abs",
    "colorfulness_abs_difference",
    "colorfulness_abs_mean_difference",
    "clipped",
)
# Computed at validation during training: together they take less time than a small network.
CHEAP = ("psnr", "ssim", "ciede2000", "colorfulness", "colorfulness_difference")
# What validation logs: these, the same of the all-gray baseline, and the truth's colourfulness.
LOGGED = (*(name for key in CHEAP for name in (key, f"gray_{key}")), "colorfulness_truth")
# Whose code FID follows, see `colorization.metrics.fid`.
FID_BACKENDS = ("tf", "torchvision", "ct2", "clean")
