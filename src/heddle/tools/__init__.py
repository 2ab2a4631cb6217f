"""What acts: function tools and the built-in ones."""
