/*
 * doctor: `parley doctor [URL]`: is this installation well, and if not, what is to be done?
 */
#ifndef PARLEY_DOCTOR_H
#define PARLEY_DOCTOR_H

int doctor_command(int argc, char **argv);

#endif
