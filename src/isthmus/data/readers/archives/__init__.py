"""Archives of pictures: tar and zip."""
