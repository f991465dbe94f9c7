"""What may happen and what is true: pure functions of messages and states, without I/O, clock or chance."""
