"""The image kind: pictures in folders, arrays and Parquet, grey, colour or binary."""

__all__: list[str] = []
