"""The demonstration: a tour of the documented models, with pictures and a report."""
