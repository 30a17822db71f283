/*
 * version: which Parley this is. A build may say otherwise with -DPARLEY_VERSION.
 */
#ifndef PARLEY_VERSION_H
#define PARLEY_VERSION_H

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "0.1.0"
#endif

#endif
