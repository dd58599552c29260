"""Keeps an installation for years: carries it elsewhere, backs it up, and lets go of what nobody needs."""
