"""What a method is (method.yaml and method.py), and the files of its models."""
