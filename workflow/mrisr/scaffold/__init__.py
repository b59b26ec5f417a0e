"""`mrisr new`: look at a folder, write files to start from."""
