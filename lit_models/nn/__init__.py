"""What models are made of: networks, the codebook, principal components; tensors to tensors."""
