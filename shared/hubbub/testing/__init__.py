"""What tests of every package share: real databases, made in milliseconds."""
