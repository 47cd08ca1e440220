"""Loading and saving language models. Importing this package does not import torch."""
