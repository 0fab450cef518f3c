"""Bytes on disk: written durably, sealed, and read in distrust; nothing here knows what a model is."""
