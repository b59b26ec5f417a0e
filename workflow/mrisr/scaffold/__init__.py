"""`mrisr new`: look at a folder, and write files to start from."""
