"""What a mixture is made of: the component interface, its kinds, and the parts that they are built from."""
