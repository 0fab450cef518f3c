"""Models and trainings on disk, in the words of the storage room."""
