"""The commands: each composes its configuration, builds, runs and reports. One file each."""
