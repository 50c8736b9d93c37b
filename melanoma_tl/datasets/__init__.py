"""Tables of images: the challenges, users' own folders and files, and drawn lesions."""
