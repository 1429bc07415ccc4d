"""The obligations on outputs, one module each."""
