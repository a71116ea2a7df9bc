"""Programs for those who work on this project or check what it produced. None is part of the package."""
