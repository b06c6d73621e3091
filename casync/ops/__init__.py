"""Operations: one verb a file. They take ports as arguments and import no adapter."""
