/* Runs the engines of stochcore.h, and the words of AES in lanes, over raw blocks of 16 bytes:
 *
 *   engines_probe aes        < four states, four keys, ..      > each round of AES (vw_aes)
 *   engines_probe aes-last   < the same                        > each last round (vw_aes_last)
 *   engines_probe ROUNDS     < a counter, a key, ..            > ARS4x32 of so many rounds; 0: Philox4x32-10
 *
 * test_engines.py compiles this for each instruction set, so with AES instructions and without. */
#include "lanes/lanes.h"
#include "stochcore.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    uint32_t x[32], out[16];
    const char *name = argc == 2 ? argv[1] : "";
    if (strcmp(name, "aes") == 0 || strcmp(name, "aes-last") == 0) {
        while (fread(x, sizeof x, 1, stdin) == 1) {
            vw state = vw_load(x), key = vw_load(x + 16);
            vw_store(out, name[3] ? vw_aes_last(state, key) : vw_aes(state, key));
            fwrite(out, sizeof out, 1, stdout);
        }
        return 0;
    }
    const int rounds = atoi(name);
    while (fread(x, 32, 1, stdin) == 1) {
        if (rounds) sc_ars4x32(rounds, x, x + 4, out);
        else sc_philox4x32_10(x, x + 4, out);
        fwrite(out, 16, 1, stdout);
    }
    return 0;
}
