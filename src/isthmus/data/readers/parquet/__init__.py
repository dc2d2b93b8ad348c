"""Parquet and Arrow tables with a column of pictures, as Hugging Face stores data sets."""
