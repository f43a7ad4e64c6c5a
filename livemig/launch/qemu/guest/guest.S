/*
 * Bare-metal PowerPC guest that re-arms the decrementer on every DECR
 * interrupt and records what it saw.  Runs on QEMU machines g3beige and
 * mac99 (ELF given as -bios, linked at 0xfff00000, MSR[IP]=1) and pseries
 * (flat binary given as -bios, loaded at 0, MSR[IP]=0).  All branches are
 * relative, so the same code is used for both.
 *
 * Configuration words (big endian, all 32 bit), put in RAM at reset, two at a
 * time, with   -device loader,addr=A,data=0xHHHHHHHHLLLLLLLL,data-len=8,data-be=on
 *   0x3000  magic 0x4c4d4346 ("LMCF"); without it the defaults are used
 *   0x3004  PERIOD  decrementer period in timebase ticks
 *   0x3008  FLAGS   bit 0: drift-free re-arm (DECR += PERIOD, repeated until
 *                   positive) instead of fixed re-arm (DECR = PERIOD)
 *                   bit 1: main loop dirties pages
 *                   bit 2: set the timebase to TBSET at start
 *                   bit 3: fill memory with pseudo random words at start
 *                   bit 4: main loop keeps MSR[EE] off for BURN iterations of
 *                   an empty loop, then on for a moment (so that a DECR
 *                   interrupt is often pending and not yet taken)
 *                   bit 5: each DECR interrupt dirties PER_INTERRUPT pages, one
 *                   after the other
 *                   bit 6: those pages are drawn at random instead
 *   0x300c  DIRTY_PAGES  number of 4 KiB pages dirtied round robin
 *   0x3010  BURN    delay loop count between two page writes (bit 1) or
 *                   while interrupts are off (bit 4)
 *   0x3014  FILL_END     fill memory from 16 MiB up to this address
 *   0x3018  TBSET upper, 0x301c TBSET lower
 *   0x3020  PER_INTERRUPT  number of 4 KiB pages that an interrupt dirties (bit 5)
 *   0x3024  WORKING_SET    number of 4 KiB pages, from 16 MiB upward, that it
 *                          dirties any of; not 0 if bit 5 is set
 *
 * Status block at 0x4000 (big endian words)
 *   +0 magic 0x4c4d4947 ("LMIG")  +4 number of records written so far
 *   +8 ring address  +12 ring entries  +16 state (1 = fill done, running)
 *   +20 main loop counter
 *
 * Ring at 0x100000: 4096 records of 32 bytes
 *   +0 sequence number  +4 TBU  +8 TBL  +12 DECR at handler entry
 *   +16 DECR value written  +20 periods skipped (drift-free only)
 *   +24 main loop counter  +28 zero
 */
        .set    CFG,     0x3000
        .set    STATUS,  0x4000
        .set    RINGHI,  0x10           /* ring at 0x00100000 */
        .set    ENTRIES, 4096
        .set    BASEHI,  0x100          /* dirty/fill area at 0x01000000 */

        .section .text, "ax"
        .globl  _start

        .org    0x100                   /* system reset */
_start: b       start

        .org    0x900                   /* decrementer */
        b       decr

        .org    0x1000
/*
 * Register use: r3-r12 main loop, r16-r31 handler, cr0 main loop, cr1
 * handler.  r28 = FLAGS, r29 = PERIOD, r30 = records written,
 * r27 = STATUS address, r26 = ring base, r25 = page that the handler dirtied
 * last, r31 = its random number.
 */
start:
        lis     %r27, 0
        ori     %r27, %r27, STATUS
        lis     %r26, RINGHI
        li      %r30, 0
        li      %r12, 0                 /* main loop counter */
        li      %r25, 0
        li      %r31, 1

        /* defaults */
        lis     %r29, 0x0004            /* PERIOD = 0x40000 ticks */
        li      %r28, 0
        li      %r7, 256                /* DIRTY_PAGES */
        li      %r8, 0                  /* BURN */
        lis     %r9, BASEHI             /* FILL_END: nothing */

        lis     %r3, 0
        ori     %r3, %r3, CFG
        lwz     %r4, 0(%r3)
        lis     %r5, 0x4c4d
        ori     %r5, %r5, 0x4346
        cmpw    %r4, %r5
        bne     1f
        lwz     %r29, 4(%r3)
        lwz     %r28, 8(%r3)
        lwz     %r7, 12(%r3)
        lwz     %r8, 16(%r3)
        lwz     %r9, 20(%r3)
        andi.   %r4, %r28, 4
        beq     1f
        lwz     %r4, 24(%r3)
        lwz     %r5, 28(%r3)
        li      %r6, 0
        mttbl   %r6
        mttbu   %r4
        mttbl   %r5
1:
        lis     %r4, 0x4c4d
        ori     %r4, %r4, 0x4947
        stw     %r4, 0(%r27)
        stw     %r30, 4(%r27)
        stw     %r26, 8(%r27)
        li      %r4, ENTRIES
        stw     %r4, 12(%r27)
        li      %r4, 0
        stw     %r4, 16(%r27)

        andi.   %r4, %r28, 8
        beq     3f
        lis     %r3, BASEHI             /* fill BASE .. FILL_END */
        lis     %r4, 0x0019             /* LCG multiplier 1664525 */
        ori     %r4, %r4, 0x660d
        lis     %r5, 0x3c6e             /* LCG increment 1013904223 */
        ori     %r5, %r5, 0xf35f
        li      %r6, 1
2:      mullw   %r6, %r6, %r4
        add     %r6, %r6, %r5
        stw     %r6, 0(%r3)
        addi    %r3, %r3, 4
        cmplw   %r3, %r9
        blt     2b
3:
        li      %r4, 1
        stw     %r4, 16(%r27)
        mtdec   %r29
        mfmsr   %r4
        ori     %r4, %r4, 0x8000        /* MSR[EE] */
        mtmsr   %r4
        isync

main:   li      %r10, 0                 /* page index */
        lis     %r11, BASEHI
loop:   addi    %r12, %r12, 1
        andi.   %r4, %r28, 2
        beq     5f
        stw     %r12, 0(%r11)           /* dirty one page */
        addi    %r11, %r11, 4096
        addi    %r10, %r10, 1
        cmplw   %r10, %r7
        blt     4f
        li      %r10, 0
        lis     %r11, BASEHI
4:      cmplwi  %r8, 0
        beq     loop
        mtctr   %r8
        bdnz    .
        b       loop
5:      andi.   %r4, %r28, 16
        beq     6f
        mfmsr   %r4                     /* interrupts off for BURN iterations */
        rlwinm  %r4, %r4, 0, 17, 15
        mtmsr   %r4
        isync
        mtctr   %r8
        bdnz    .
        ori     %r4, %r4, 0x8000
        mtmsr   %r4
        isync
        b       loop
6:      li      %r4, 1000
        mtctr   %r4
        bdnz    .
        b       loop

/* decrementer handler; at a fixed place, so that the NIP tells who runs */
        .org    0x1800
decr:
1:      mftbu   %r16
        mftb    %r17
        mftbu   %r18
        cmpw    cr1, %r16, %r18
        bne     cr1, 1b
        mfdec   %r19
        li      %r22, 0
        rlwinm  %r20, %r28, 0, 31, 31   /* FLAGS bit 0, does not touch cr */
        cmpwi   cr1, %r20, 0
        beq     cr1, 3f
        add     %r21, %r19, %r29
2:      cmpwi   cr1, %r21, 0
        bgt     cr1, 4f
        add     %r21, %r21, %r29
        addi    %r22, %r22, 1
        b       2b
3:      mr      %r21, %r29
4:      mtdec   %r21
        rlwinm  %r23, %r30, 5, 15, 26   /* (count mod 4096) * 32 */
        add     %r23, %r23, %r26
        stw     %r30, 0(%r23)
        stw     %r16, 4(%r23)
        stw     %r17, 8(%r23)
        stw     %r19, 12(%r23)
        stw     %r21, 16(%r23)
        stw     %r22, 20(%r23)
        stw     %r12, 24(%r23)
        li      %r24, 0
        stw     %r24, 28(%r23)
        addi    %r30, %r30, 1
        stw     %r30, 4(%r27)
        stw     %r12, 20(%r27)

        rlwinm  %r20, %r28, 27, 31, 31  /* FLAGS bit 5 */
        cmpwi   cr1, %r20, 0
        beq     cr1, 9f
        lis     %r16, 0
        ori     %r16, %r16, CFG
        lwz     %r17, 32(%r16)          /* PER_INTERRUPT */
        lwz     %r18, 36(%r16)          /* WORKING_SET */
        rlwinm  %r19, %r28, 26, 31, 31  /* FLAGS bit 6 */
5:      cmpwi   cr1, %r17, 0
        beq     cr1, 9f
        cmpwi   cr1, %r19, 0
        beq     cr1, 6f
        lis     %r20, 0x0019            /* the same LCG as the fill's */
        ori     %r20, %r20, 0x660d
        mullw   %r31, %r31, %r20
        lis     %r20, 0x3c6e
        ori     %r20, %r20, 0xf35f
        add     %r31, %r31, %r20
        rlwinm  %r20, %r31, 24, 8, 31   /* its low bits are the poor ones */
        divwu   %r21, %r20, %r18
        mullw   %r21, %r21, %r18
        subf    %r25, %r21, %r20
        b       7f
6:      addi    %r25, %r25, 1
        cmplw   cr1, %r25, %r18
        blt     cr1, 7f
        li      %r25, 0
7:      rlwinm  %r20, %r25, 12, 0, 19
        addis   %r20, %r20, BASEHI
        stw     %r30, 0(%r20)
        addi    %r17, %r17, -1
        b       5b
9:
        .ifdef  PPC64
        rfid
        .else
        rfi
        .endif
