"""Bytes on disk are written durably and read in distrust; nothing here knows what a model is."""
