"""The values that travel through the job, in the words of the glossary in ``etl/__init__.py``."""
