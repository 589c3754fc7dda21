// The client's end of a conversation over TLS, by OpenSSL: the peer of a shielded server.
#pragma once

#include "flow.h"

struct tls_identity;
// PEM files. Ends the process when they cannot be used.
struct tls_identity* load_identity(const char* certificate, const char* key, const char* authority);
void converse_over_tls(struct flow* flow, struct tls_identity* identity);
