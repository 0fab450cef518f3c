"""What a mixture is made of: the component interface, its abilities and kinds, and the parts they are built from."""
