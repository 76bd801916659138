"""What backbones know before they meet a robot: corpora, objectives, priors."""
