"""The commands of `sadgr-train`, a module for each kind; what is slow to import is imported inside the commands."""
