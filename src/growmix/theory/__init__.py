"""Quantities of the paper's theory that can be measured."""
