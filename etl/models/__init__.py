"""The values that travel through the job, in the words of the glossary."""
