"""The reader study: blinded pairs of images, a server that shows them, and what readers say."""
