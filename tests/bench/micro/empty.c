// A program that only ends; linked statically, it shows what a start costs without a dynamic loader.
int main(void) { return 0; }
