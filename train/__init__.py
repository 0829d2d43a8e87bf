"""Training: from class folders of clips to a run folder, and what a run or a bundle reaches on data."""
