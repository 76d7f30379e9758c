"""Adapters: one module for each framework, which imports that framework at its top."""
