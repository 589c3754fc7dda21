// The control for what a host can say to a static program: uses libcrypto as most programs do, and shows what malloc
// gives. Never shipped.
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  unsigned char digest[32];
  EVP_MD* const method = EVP_MD_fetch(NULL, "SHA2-256", NULL);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  if (method == NULL || context == NULL || EVP_DigestInit_ex(context, method, NULL) != 1 ||
      EVP_DigestFinal_ex(context, digest, NULL) != 1) {
    return 1;
  }
  const volatile unsigned char* const fresh = malloc(100000);
  if (fresh == NULL) return 1;
  printf("fresh memory %02x\n", fresh[50000]);
  return 0;
}
