"""Programs for people who work on this project or check its output. The programs are not part of the package."""
