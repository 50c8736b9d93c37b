"""What the library needs of Keras beyond its interface: settings of its own, and copies of layers."""
