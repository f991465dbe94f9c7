"""The whole of Hubbub on one machine: `hubbub up` and the commands beside it."""
