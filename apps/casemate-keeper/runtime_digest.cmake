# Writes the SHA-256 of RUNTIME as a C string literal to OUTPUT.
file(SHA256 "${RUNTIME}" digest)
file(WRITE "${OUTPUT}" "\"${digest}\"\n")
