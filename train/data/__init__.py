"""`actionstream data`: looking at a dataset before anything is trained on it, and making a smaller or a plainer one."""
