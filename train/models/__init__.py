"""Models over cached features, a file each: SADGR, and what it is held against."""
